for flags in --cpu-shares=512 '--cpu-quota=50000 --cpu-period=100000'; do
  # shellcheck disable=SC2086 # two flags are two words
  coffer run --rm $flags host true || exit
done
coffer run --rm --name coffer-lab-run --cpus=0.5 --memory 64m --pids-limit=50 host sh -c 'hostname; ls -l /proc/self/ns/; echo ready; sleep 1000'
