# missing: container2 shares the uts namespace with container1
# missing: no container runs as coffer-lab-sharing-net1
coffer run -d --name coffer-lab-sharing-container1 host sleep 1000
coffer run -d --name coffer-lab-sharing-container2 --pid=container:coffer-lab-sharing-container1 --uts=container:coffer-lab-sharing-container1 host sleep 1000
echo ready
sleep 1000
