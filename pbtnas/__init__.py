"""pbtnas: neural architecture search by Population Based Training over a shared directory."""
