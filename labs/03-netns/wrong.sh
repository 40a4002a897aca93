# missing: the chain INPUT of iptables has no rule for port 80
# missing: no table of nft has a rule for port 443
ip netns add coffer-lab-netns
# Another network namespace, which ends with the command.
unshare --net iptables -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
echo ready
sleep 1000
