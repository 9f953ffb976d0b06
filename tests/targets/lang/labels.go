// SPDX-License-Identifier: Apache-2.0
// A program with labels of runtime/pprof: two goroutines burn CPU, each with its own, one with many, one with none. It serves its own profile.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

//go:noinline
func burn(sink int) int {
	for i := 0; i < 1000000; i++ {
		sink = sink*31 + i
	}
	return sink
}

func forever(context.Context) {
	for sink := 0; ; {
		sink = burn(sink)
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(2)
	}
	go http.Serve(listener, nil)
	many := []string{}
	for i := 0; i < 10; i++ {
		many = append(many, fmt.Sprintf("key%d", i), fmt.Sprintf("value %d", i*i))
	}
	go pprof.Do(context.Background(), pprof.Labels("worker", "alpha", "route", "/a/\u00e9?c=1"), forever)
	go pprof.Do(context.Background(), pprof.Labels("worker", "beta", "tid", "mine", "trace_id", "0123"), forever)
	go pprof.Do(context.Background(), pprof.Labels(many...), forever)
	go forever(context.Background())
	fmt.Printf("pid %d\nport %d\nready\n", os.Getpid(), listener.Addr().(*net.TCPAddr).Port)
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
}
