"""The only writer of status columns: what moves a campaign's rows from one state to the next."""
