"""Pages for people: server-rendered, every file served from here, nothing fetched from elsewhere."""
