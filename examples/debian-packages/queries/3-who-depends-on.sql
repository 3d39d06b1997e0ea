-- Which essential or required packages need libcrypt1, and from which version on?
SELECT p.id AS package, field.key AS field, alternative.value ->> 'version' AS at_least
FROM packages AS p,
     json_each(json_object('depends', p.body -> '$.depends', 'pre_depends', p.body -> '$.pre_depends')) AS field,
     json_each(field.value) AS relation, json_each(relation.value) AS alternative
WHERE alternative.value ->> 'name' = 'libcrypt1' AND (p.body ->> '$.essential' OR p.body ->> '$.priority' = 'required')
ORDER BY p.id
