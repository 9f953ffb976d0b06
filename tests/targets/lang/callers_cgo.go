// SPDX-License-Identifier: Apache-2.0
// Two Go functions with frames alike, each of which calls a C function of its own: left calls c_left, right calls c_right, in turns.
// The C functions do what the argument says: "heap" memory, "locks" waits for a lock, "work" computes.
package main

/*
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile unsigned long state;
static void doze(long us)
{
	struct timespec t = { 0, us * 1000 };
	nanosleep(&t, 0);
}
static void act(int what)
{
	if (what == 0) {
		void *p = malloc(3000);
		__asm__ volatile("" : "+r"(p));
		free(p);
	} else if (what == 1) {
		pthread_mutex_lock(&lock);
		pthread_mutex_unlock(&lock);
	} else {
		for (int i = 0; i < 30000; i++)
			state = state * 31 + i;
	}
}
// More than a call at the end, so that neither's frame is gone when it acts.
__attribute__((noinline)) static int c_left(int what) { act(what); __asm__ volatile("" ::: "memory"); return 1; }
__attribute__((noinline)) static int c_right(int what) { act(what); __asm__ volatile("" ::: "memory"); return 2; }
__attribute__((noinline)) static int c_hold(void)
{
	pthread_mutex_lock(&lock);
	doze(2000);
	pthread_mutex_unlock(&lock);
	doze(500);
	return 3;
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

//go:noinline
func left(what int) int { return int(C.c_left(C.int(what))) + 1 }

//go:noinline
func right(what int) int { return int(C.c_right(C.int(what))) + 2 }

//go:noinline
func holder() int { return int(C.c_hold()) + 3 }

//go:noinline
func turns(what int, over chan int) {
	n := 0
	for atomic.LoadInt32(&stop) == 0 {
		n += left(what) + right(what)
	}
	over <- n
}

func main() {
	what := map[string]int{"heap": 0, "locks": 1, "work": 2}[os.Args[1]]
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	over := make(chan int)
	go turns(what, over)
	if what == 1 {
		go func() {
			for atomic.LoadInt32(&stop) == 0 {
				holder()
			}
		}()
	}
	fmt.Printf("pid %d\nready\n", os.Getpid())
	<-term
	atomic.StoreInt32(&stop, 1)
	fmt.Println("turns", <-over > 0)
}
