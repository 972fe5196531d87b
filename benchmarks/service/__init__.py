"""The service under load and under the axe: how much it takes, and what a kill costs."""
