"""Pure domain: vocabulary, states, specs. No IO, and no clock but as an argument."""
