"""What programs were seen to do, native: recordings, and from addresses to objects."""
