set -e
ip netns add coffer-lab-netns
ip netns list
coffer netns exec coffer-lab-netns iptables -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
ip netns exec coffer-lab-netns iptables -L
ip netns exec coffer-lab-netns bash <<'INSIDE'
nft add table inet coffer_lab
nft 'add chain inet coffer_lab input { type filter hook input priority 0; }'
nft add rule inet coffer_lab input tcp dport 443 accept
INSIDE
echo ready
sleep 1000
