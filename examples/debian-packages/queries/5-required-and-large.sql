-- Which packages that every system must have take more than 4 MB?
SELECT id AS package, size / 1000 AS kilobytes, body ->> '$.summary' AS summary
FROM packages WHERE size > 4000000 AND body ->> '$.priority' = 'required' ORDER BY size DESC
