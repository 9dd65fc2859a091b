"""What a workload file may say: its form, its laws, and the generator's program that it becomes."""
