"""What a workload requests, in figures and in words (`memtool inspect`)."""
