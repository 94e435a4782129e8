"""The laptop's side of the gate: its control protocol as functions. No ssh details and no cluster here."""
