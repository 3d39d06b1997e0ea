-- On which names do most packages depend though nothing in the index bears or provides them?
WITH offered AS MATERIALIZED (
    SELECT id AS name FROM packages
    UNION SELECT item_id FROM atlas_dead_letters
    UNION SELECT alternative.value ->> 'name'
    FROM packages, json_each(body, '$.provides') AS relation, json_each(relation.value) AS alternative
), wanted AS MATERIALIZED (
    SELECT packages.id AS package, relation.value ->> '$[0].name' AS name
    FROM packages, json_each(body, '$.depends') AS relation
    WHERE json_array_length(relation.value) = 1
)
SELECT name AS missing, count(DISTINCT package) AS packages, min(package) AS for_example
FROM wanted WHERE name NOT IN (SELECT name FROM offered) GROUP BY name ORDER BY packages DESC, name LIMIT 6
