"""What gives events, one protocol: drawn, recorded, a part of another, at its own pace."""
