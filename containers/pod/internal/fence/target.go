// Package fence proves, from inside the pod's network, that nothing but the proxy can be reached.
package fence

import (
	"bufio"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Settings say where the wall should be.
type Settings struct {
	Off   bool
	Proxy string   // address of the proxy, an IP literal
	API   string   // host:port of the API server's service
	Nodes []string // addresses of this pod's own node, one a family
}

// FromEnvironment reads what the pod's template says.
func FromEnvironment() Settings {
	settings := Settings{Off: os.Getenv("PAUDE_FENCE") == "off", Proxy: os.Getenv("PAUDE_PROXY")}
	if host := os.Getenv("KUBERNETES_SERVICE_HOST"); host != "" {
		settings.API = net.JoinHostPort(host, os.Getenv("KUBERNETES_SERVICE_PORT"))
	}
	if nodes := os.Getenv("PAUDE_NODE_IPS"); nodes != "" {
		settings.Nodes = strings.Split(nodes, ",")
	}
	return settings
}

const (
	proxyPort   = "3128"
	canaryPort  = "3129"
	kubeletPort = "10250"
)

// DNS on OpenShift answers at 5353 behind the service's 53, and a policy may see either.
var resolverPorts = []int{53, 5353}

// Where clouds hand out credentials, and where a cluster's node-local resolver listens: fixed by their makers
// (the metadata services' documentation; the NodeLocal DNSCache add-on), the same everywhere, and never public.
const (
	metadata  = "169.254.169.254"
	metadata6 = "fd00:ec2::254"
	nodeDNS   = "169.254.20.10"
)

type target struct {
	name, network, address string
	// Kubernetes lets a pod reach its own node, whatever the policy says, so there an answer only warns.
	warns bool
}

func (s Settings) fixedTargets() []target {
	targets := []target{
		{"canary", "tcp", net.JoinHostPort(s.Proxy, canaryPort), false},
		{"metadata", "tcp", net.JoinHostPort(metadata, "80"), false},
		{"metadata", "icmp", metadata, false},
		{"node-resolver", "tcp", net.JoinHostPort(nodeDNS, "53"), false},
		{"node-resolver", "udp", net.JoinHostPort(nodeDNS, "53"), false},
	}
	if hasIPv6() {
		targets = append(targets,
			target{"metadata", "tcp", net.JoinHostPort(metadata6, "80"), false},
			target{"metadata", "icmp", metadata6, false})
	}
	if s.API != "" {
		targets = append(targets, target{"api-server", "tcp", s.API, false})
	}
	for _, node := range slices.Concat(s.Nodes, gateways()) {
		targets = append(targets,
			target{"kubelet", "tcp", net.JoinHostPort(node, kubeletPort), true}, target{"node", "icmp", node, true})
	}
	return targets
}

// gateways are the node's addresses on the pod's own link, by which it can be reached past rules for its others.
func gateways() []string {
	routes, err := os.Open("/proc/net/ipv6_route")
	if err != nil {
		return nil
	}
	defer routes.Close()
	return nextHops(routes)
}

// nextHops are the link-local gateways of the default routes: destination, its length, source, its length, next hop,
// four numbers, device.
func nextHops(routes io.Reader) []string {
	var found []string
	lines := bufio.NewScanner(routes)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[1] != "00" {
			continue
		}
		raw, err := hex.DecodeString(fields[4])
		if hop, ok := netip.AddrFromSlice(raw); err == nil && ok && hop.IsLinkLocalUnicast() {
			found = append(found, hop.WithZone(fields[9]).String())
		}
	}
	return found
}

// namedTargets come from what the proxy says of itself. Its pod's own addresses, of both families, are probed beside
// its service's: a policy may see either.
func namedTargets(known Answer) []target {
	var targets []target
	for _, resolver := range known.Resolvers {
		for _, port := range resolverPorts {
			address := net.JoinHostPort(resolver, strconv.Itoa(port))
			targets = append(targets, target{"resolver", "tcp", address, false}, target{"resolver", "udp", address, false})
		}
	}
	for _, address := range known.Addresses {
		targets = append(targets, target{"canary", "tcp", net.JoinHostPort(address, canaryPort), false})
	}
	return targets
}

// hasIPv6 tells whether the pod has an address from which IPv6 could leave.
func hasIPv6() bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return true // then the probe itself shows it
	}
	for _, one := range addresses {
		if prefix, ok := one.(*net.IPNet); ok && prefix.IP.To4() == nil && prefix.IP.IsGlobalUnicast() {
			return true
		}
	}
	return false
}
