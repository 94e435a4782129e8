"""Who the end-to-end tests meet: a user at a terminal, the cluster's administrator, a bad network, a hostile agent."""
