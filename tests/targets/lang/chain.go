// SPDX-License-Identifier: Apache-2.0
// A goroutine at a known place of a known call chain; the test builds it, where Go is installed.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

var stop int32
var sink uint64

//go:noinline
func leaf(x uint64) uint64 {
	for i := 0; i < 1000; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

//go:noinline
func middle(x uint64) uint64 {
	return leaf(x) + x
}

//go:noinline
func outer() {
	for atomic.LoadInt32(&stop) == 0 {
		sink += middle(sink)
	}
}

func main() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		atomic.StoreInt32(&stop, 1)
	}()
	fmt.Printf("chain main.leaf;main.middle;main.outer;main.main;runtime.main;runtime.goexit\n")
	fmt.Printf("chain main.middle;main.outer;main.main;runtime.main;runtime.goexit\n")
	fmt.Printf("chain main.outer;main.main;runtime.main;runtime.goexit\npid %d\nready\n", os.Getpid())
	outer()
}
