// Command grpc is a gRPC server that limits the calls of each client, unary ones
// and streams: a call over the limit fails with RESOURCE_EXHAUSTED and a
// RetryInfo that says when to come back. It serves the standard health service.
package main

import (
	"context"
	"log"
	"net"
	"net/netip"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

func main() {
	// The path of a file in place of "", and the counts outlive the process.
	limiter, err := weir.Open("", weir.Policy{Name: "peer", Limit: bucket.PerMinute(100)})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(newServer(limiter).Serve(listener))
}

// newServer returns the service behind its limit.
func newServer(limiter *weir.Limiter) *grpc.Server {
	g := guard{limiter}
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(g.unary), grpc.ChainStreamInterceptor(g.stream))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	return server
}

// A guard limits calls by the address of the peer. A stream counts once, when it
// is opened.
type guard struct{ limiter *weir.Limiter }

func (g guard) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := g.admit(ctx); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g guard) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := g.admit(stream.Context()); err != nil {
		return err
	}
	return next(srv, stream)
}

// admit returns nil if a call may go on, and otherwise how it fails.
func (g guard) admit(ctx context.Context) error {
	d := g.limiter.Take(1, peerKey(ctx))
	if d.Allowed {
		return nil
	}
	refusal := status.New(codes.ResourceExhausted, "over the limit of "+d.Limit.String())
	if detailed, err := refusal.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(d.RetryAfter)}); err == nil {
		refusal = detailed
	}
	return refusal.Err()
}

// peerKey returns the address of the peer without its port or, of IPv6, its
// /64, which is the least that a client has. Peers without an address, as on a
// Unix socket, share a key.
func peerKey(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "unknown"
	}
	parsed, err := netip.ParseAddrPort(p.Addr.String())
	if err != nil {
		return "unknown"
	}
	addr := parsed.Addr().Unmap()
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().String()
	}
	return addr.String()
}
