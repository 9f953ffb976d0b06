// SPDX-License-Identifier: Apache-2.0
// Go that C calls, in a C function that Go has called.
package main

/*
extern unsigned long goSide(unsigned long n);
__attribute__((noinline)) static unsigned long c_outer(unsigned long n)
{
	n = goSide(n) + 1;
	__asm__ volatile("" : "+r"(n));
	return n;
}
*/
import "C"
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
	for i := 0; i < 20000000; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

//export goSide
func goSide(n C.ulong) C.ulong { return C.ulong(leaf(uint64(n))) + 1 }

//go:noinline
func call(x uint64) uint64 { return uint64(C.c_outer(C.ulong(x))) + x }

func main() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		atomic.StoreInt32(&stop, 1)
	}()
	fmt.Printf("pid %d\nready\n", os.Getpid())
	for atomic.LoadInt32(&stop) == 0 {
		sink += call(sink)
	}
}
