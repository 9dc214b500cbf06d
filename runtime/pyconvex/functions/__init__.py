"""What user modules define: functions, HTTP routes, and references to both."""
