"""The pages of the service: launch, watch, understand, take away."""
