"""What a workload asks for, in figures and in words (`memtool inspect`)."""
