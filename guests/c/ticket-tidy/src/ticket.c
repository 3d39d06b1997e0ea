// What both ticket plugins share.
#include "../../ticket/json.c"
#include "../../ticket/number.c"
#include "../../ticket/text.c"
#include "../../ticket/ticket.c"
