package fence

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	throughTime = 4 * time.Second // the proxy may have to look the name up
	// Below .invalid: a proxy that let it pass would find nothing there (RFC 6761).
	nobody = "elsewhere.fence.paude.invalid"
)

type attempt struct {
	name, line string
	judge      func(ctx context.Context, proxy, line string) string
}

// attempts are what a proxy has to refuse. Their targets are the cluster's own, or names that nobody can have.
func (s Settings) attempts(host string) []attempt {
	tries := []attempt{
		{"unlisted name", "CONNECT " + nobody + ":443", refused},
		{"no tunnel", "GET http://" + nobody + "/", refused},
		{"address", "CONNECT " + metadata + ":443", refused},
		{"address", "CONNECT " + metadata + ":80", refused},
		{"address", "CONNECT " + net.JoinHostPort(metadata6, "80"), refused},
		{"address", "CONNECT 127.0.0.1:443", refused},
		{"address", "CONNECT 2130706433:443", refused}, // 127.0.0.1 as one number
		{"address", "CONNECT 0x7f.1:443", refused},
		{"address", "CONNECT [::1]:443", refused},
		{"address", "CONNECT [::ffff:127.0.0.1]:443", refused},
		{"address", "CONNECT " + net.JoinHostPort(s.Proxy, "443"), refused},
		{"management", "GET http://" + net.JoinHostPort(s.Proxy, proxyPort) + "/squid-internal-mgr/menu", refused},
	}
	if s.API != "" {
		tries = append(tries, attempt{"address", "CONNECT " + s.API, refused})
	}
	if host == "" {
		return tries
	}
	for _, port := range []string{"22", "80", "853", "8443"} {
		tries = append(tries, attempt{"port", "CONNECT " + host + ":" + port, refused})
	}
	tunnel := "CONNECT " + host + ":443"
	return append(tries,
		attempt{"foreign server name", tunnel, foreignName},
		attempt{"no server name", tunnel, noName},
		attempt{"not TLS", tunnel, notTLS})
}

// put sends one request; the connection is open when it is answered with 200.
func put(ctx context.Context, proxy, line string) (net.Conn, *bufio.Reader, int, error) {
	ctx, cancel := context.WithTimeout(ctx, throughTime)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(proxy, proxyPort))
	if err != nil {
		return nil, nil, 0, err
	}
	_ = connection.SetDeadline(time.Now().Add(throughTime))
	reader := bufio.NewReader(connection)
	if _, err = io.WriteString(connection, line+" HTTP/1.1\r\nHost: "+nobody+"\r\n\r\n"); err != nil {
		connection.Close()
		return nil, nil, 0, err
	}
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil {
		connection.Close()
		return nil, nil, 0, err
	}
	return connection, reader, response.StatusCode, nil
}

// refused wants a refusal: an answer of another kind means that somebody was asked on our behalf, or would have been.
func refused(ctx context.Context, proxy, line string) string {
	connection, _, status, err := put(ctx, proxy, line)
	if err != nil {
		return silence(err)
	}
	connection.Close()
	switch status {
	case http.StatusForbidden, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotFound:
		return Closed
	}
	return Open
}

// silence is what a request without an answer proves: that the proxy hung up, or nothing at all.
func silence(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Closed
	}
	return Unproven
}

// tunnelled gives a tunnel to an allowed host, and Unproven when there is none to be had.
func tunnelled(ctx context.Context, proxy, line string, try func(net.Conn, *bufio.Reader) string) string {
	connection, reader, status, err := put(ctx, proxy, line)
	if err != nil {
		return Unproven
	}
	defer connection.Close()
	if status != http.StatusOK {
		return Unproven
	}
	return try(connection, reader)
}

func foreignName(ctx context.Context, proxy, line string) string {
	return tunnelled(ctx, proxy, line, func(connection net.Conn, _ *bufio.Reader) string { return greet(connection, nobody) })
}

func noName(ctx context.Context, proxy, line string) string {
	return tunnelled(ctx, proxy, line, func(connection net.Conn, _ *bufio.Reader) string { return greet(connection, "") })
}

// greet says the first words of TLS. Whatever certificate comes back, somebody else than the proxy has answered.
func greet(connection net.Conn, name string) string {
	answered := false
	client := tls.Client(connection, &tls.Config{
		ServerName: name, InsecureSkipVerify: true, //nolint:gosec // it is the wall that is tested here
		VerifyConnection: func(tls.ConnectionState) error { answered = true; return nil },
	})
	err := client.Handshake()
	var alert tls.AlertError
	switch {
	case err == nil || answered || errors.As(err, &alert) || isRemoteAlert(err):
		return Open
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Unproven
	}
	return Closed
}

// The far end's alert is an answer as well; crypto/tls gives it as a net.OpError of "remote error".
func isRemoteAlert(err error) bool {
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "remote error"
}

// notTLS says what an ssh client would. The proxy may say why it refuses, as a page; anything else is the far end.
func notTLS(ctx context.Context, proxy, line string) string {
	return tunnelled(ctx, proxy, line, func(connection net.Conn, reader *bufio.Reader) string {
		if _, err := io.WriteString(connection, "SSH-2.0-paude\r\n"); err != nil {
			return Closed
		}
		head, err := reader.Peek(len("HTTP/"))
		switch {
		case len(head) == 0 && errors.Is(err, os.ErrDeadlineExceeded):
			return Unproven
		case len(head) == 0 || string(head) == "HTTP/":
			return Closed
		}
		return Open
	})
}
