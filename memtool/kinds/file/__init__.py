"""Files: by calls, by io_uring and by mappings, from a page cache that is warm, cold or limited."""
