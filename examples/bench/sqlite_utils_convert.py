# The job of ticket-rules and ticket-tidy as the text for `sqlite-utils insert --convert`, which makes a function of it.
# It cannot leave a row out, so a broken ticket ends the load.
statuses = ("pending", "in_progress", "completed", "failed", "blocked")
if not 1 <= len(row["title"].encode()) <= 200:
    raise ValueError("title")
if row["status"] not in statuses or row["priority"] > 9 or len(row["tags"]) > 10:
    raise ValueError("status, priority or tags")
row["slug"] = re.sub("[^a-z0-9]+", "-", row["title"].lower())
row["tags"] = sorted({tag.lower() for tag in row["tags"]})
row["score"] = row["priority"] / (1 + len(row["tags"]))
return row
