"""Where cells come from: files, the Census, a cache on disk, memory."""
