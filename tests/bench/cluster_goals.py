#!/usr/bin/env python3
# tests/bench/cluster_goals.py - what cluster.py measured, beside KAITO's figures and the goals.
"""usage: cluster_goals.py FIGURES    lines of JSON. KAITO's were measured on 2 such cores (v0.12 line, webhook off)."""
import json
import sys

# figure, words, unit, KAITO's, goal, more is better
GOALS = (
    ("nodeclaim_claim", "apply -> NodeClaim, p50", "ms", "151-163", 8, False),
    ("nodeclaim_bare", "  the API server alone: Workspace and NodeClaim", "ms", "", None, False),
    ("karpenter_claim", "apply -> NodePool, p50", "ms", "46-74", 8, False),
    ("karpenter_bare", "  the API server alone: Workspace and NodePool", "ms", "", None, False),
    ("own_job", "apply -> Job on own nodes, p50", "ms", "920-970", 15, False),
    ("own_bare", "  the API server alone: Workspace and Job", "ms", "", None, False),
    ("nodeclaim_job", "node ready -> Job, p50 (NodeClaim)", "ms", "1,000", 8, False),
    ("karpenter_job", "  (NodePool)", "ms", "1,000", 8, False),
    ("waiting", "calls a second while Workspaces wait", "", "7 each", 0, False),
    ("own_burst", "{count} Workspaces: last Job after the last apply", "s", "13.3", 0.8, False),
    ("nodeclaim_burst", "  node ready -> Job at worst (NodeClaim)", "s", "22.7", 0.8, False),
    ("karpenter_burst", "  (NodePool)", "s", "60.8", 0.8, False),
    ("own_calls", "  calls (own nodes)", "", "644", 500, False),
    ("nodeclaim_calls", "  (NodeClaim)", "", "1,234", 500, False),
    ("karpenter_calls", "  (NodePool)", "", "3,869", 500, False),
    ("conflicts", "  conflicts, all three", "", "118", 0, False),
    ("rate", "{many:,} Workspaces: share of the server's own rate", "", "-", 0.8, True),
    ("rss_many", "memory of an agent, {many:,} Workspaces", "MiB", "60-71", 32, False),
    ("rss_scale", "  {scale:,} Workspaces", "MiB", "-", 48, False),
    ("takeover", "kill -9 -> acting, {scale:,} Workspaces, worst", "s", "15+", 2, False),
)
seen, sizes = {}, {"count": 0, "many": 0, "scale": 0}
with open(sys.argv[1]) as file:
    for line in file:
        figures = json.loads(line)
        sizes |= figures.pop("sizes")
        for key, value in figures.items():
            seen[key] = seen.get(key, 0) + value if key == "conflicts" else value
print(f"\n  {'':52}{'KAITO':>10}{'kairo':>10}  goal")
for key, words, unit, kaito, goal, is_more_better in GOALS:
    if key not in seen:
        continue
    words = words.format(**sizes)
    if goal is None:
        print(f"  {words + (', ' + unit if unit else ''):52}{'':>10}{seen[key]:10.3g}")
        continue
    is_met = seen[key] >= goal if is_more_better else seen[key] <= goal
    print(f"  {words + (', ' + unit if unit else ''):52}{kaito:>10}{seen[key]:10.3g}  {'>=' if is_more_better else '<='} {goal}  {'met' if is_met else 'not met'}")
