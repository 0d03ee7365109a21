"""Ways that notices of alerts reach people."""
