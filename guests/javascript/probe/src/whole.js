// Numbers of 64 bits, which the engines pass in different ways.
import { batch } from "atlas:batch/context@0.1.0";

/** QuickJS takes and gives Numbers, with 53 bits; SpiderMonkey takes and gives BigInts. */
export function whole(number) {
    return typeof batch() === "bigint" ? BigInt(number) : Number(number);
}
