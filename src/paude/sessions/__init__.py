"""Names, records and states of sessions. The cluster's labels are the truth; records are a cache."""
