// SPDX-License-Identifier: Apache-2.0
// Go beside C in one program: with "go" the goroutine stays in Go, with "c" it is in a C function that it calls.
package main

/*
static unsigned long c_state = 1;
__attribute__((noinline)) static unsigned long c_leaf(unsigned long n)
{
	for (unsigned long i = 0; i < 20000000; i++)
		n = n * 6364136223846793005ul + 1442695040888963407ul;
	__asm__ volatile("" : "+r"(n));
	return n;
}
__attribute__((noinline)) static unsigned long c_outer(unsigned long n) { return c_state += c_leaf(n) + 1; }
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
	for i := 0; i < 100000; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

//go:noinline
func middle(x uint64) uint64 {
	return leaf(x) + x
}

//go:noinline
func call(x uint64) uint64 {
	return uint64(C.c_outer(C.ulong(x))) + x
}

//go:noinline
func outer(inC bool) {
	for atomic.LoadInt32(&stop) == 0 {
		if inC {
			sink += call(sink)
		} else {
			sink += middle(sink)
		}
	}
}

func main() {
	inC := len(os.Args) > 1 && os.Args[1] == "c"
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		atomic.StoreInt32(&stop, 1)
	}()
	if inC {
		fmt.Printf("chain c_leaf;c_outer;?;runtime.asmcgocall;?;runtime.cgocall;main._Cfunc_c_outer;?;main.call;main.outer;main.main;runtime.main;runtime.goexit\n")
	} else {
		fmt.Printf("chain main.leaf;main.middle;main.outer;main.main;runtime.main;runtime.goexit\n")
	}
	fmt.Printf("pid %d\nready\n", os.Getpid())
	outer(inC)
}
