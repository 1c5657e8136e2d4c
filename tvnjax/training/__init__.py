"""Any network on any set of clips: trained from scratch or from other weights, resumed, scored, joined to others."""
