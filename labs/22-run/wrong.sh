# missing: not 64 MiB
# missing: not 50
# missing: not half
coffer run --rm --name coffer-lab-run host sh -c 'echo ready; sleep 1000'
