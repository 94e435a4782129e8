// Package fence proves, from inside the pod's network, that nothing but the proxy can be reached.
package fence

import (
	"net"
	"os"
	"strconv"
)

// Settings say where the wall should be.
type Settings struct {
	Off     bool
	Proxy   string // address of the proxy, an IP literal
	API     string // host:port of the API server's service
	Kubelet string // host:port on this pod's node
}

// FromEnvironment reads what the pod's template says.
func FromEnvironment() Settings {
	settings := Settings{Off: os.Getenv("PAUDE_FENCE") == "off", Proxy: os.Getenv("PAUDE_PROXY")}
	if host := os.Getenv("KUBERNETES_SERVICE_HOST"); host != "" {
		settings.API = net.JoinHostPort(host, os.Getenv("KUBERNETES_SERVICE_PORT"))
	}
	if node := os.Getenv("PAUDE_NODE_IP"); node != "" {
		settings.Kubelet = net.JoinHostPort(node, "10250")
	}
	return settings
}

const (
	proxyPort  = "3128"
	canaryPort = "3129"
)

// DNS on OpenShift answers at 5353 behind the service's 53, and a policy may see either.
var resolverPorts = []int{53, 5353}

type target struct {
	name, network, address string
	// Kubernetes lets a pod reach its own node, whatever the policy says, so there an answer only warns.
	warns bool
}

func (s Settings) fixedTargets() []target {
	targets := []target{{"canary", "tcp", net.JoinHostPort(s.Proxy, canaryPort), false}}
	if s.API != "" {
		targets = append(targets, target{"api-server", "tcp", s.API, false})
	}
	if s.Kubelet != "" {
		targets = append(targets, target{"kubelet", "tcp", s.Kubelet, true})
	}
	return targets
}

func resolverTargets(resolvers []string) []target {
	var targets []target
	for _, resolver := range resolvers {
		for _, port := range resolverPorts {
			address := net.JoinHostPort(resolver, strconv.Itoa(port))
			targets = append(targets, target{"resolver", "tcp", address, false}, target{"resolver", "udp", address, false})
		}
	}
	return targets
}
