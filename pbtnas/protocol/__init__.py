"""What workers and coordinators decide: generators that yield operations.  No I/O."""
