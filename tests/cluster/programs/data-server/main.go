// data-server serves a folder over HTTP with byte ranges, and fails on request:
//
//	/olinda/…               the file
//	/first/N/503/ID/olinda/…  the same, after N answers 503 for this address;
//	                        ID is any word: it gives a test a counter of its own
//
// Every request is one line of the access log, written when its answer ends:
// time, client, method, path, Range header or "-", status, bytes of the body.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	root := flag.String("root", ".", "folder to serve")
	accessLog := flag.String("access-log", "/dev/stdout", "file that a line per request is appended to")
	flag.Parse()

	lines, err := os.OpenFile(*accessLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	files := http.FileServer(http.Dir(*root))
	log.Fatal(http.ListenAndServe(*listen, logged(lines, failing(files))))
}

// failing answers the first N requests of an address /first/N/STATUS/ID/PATH
// with STATUS and hands later ones on as /PATH.
func failing(next http.Handler) http.Handler {
	var mutex sync.Mutex
	seen := map[string]int{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.SplitN(r.URL.Path, "/", 6)
		if len(parts) < 6 || parts[1] != "first" {
			next.ServeHTTP(w, r)
			return
		}
		failures, errCount := strconv.Atoi(parts[2])
		status, errStatus := strconv.Atoi(parts[3])
		if errCount != nil || errStatus != nil || status < 400 || status > 599 {
			http.Error(w, "want /first/COUNT/STATUS/ID/PATH with STATUS 400 to 599", http.StatusBadRequest)
			return
		}
		mutex.Lock()
		seen[r.URL.Path]++
		fail := seen[r.URL.Path] <= failures
		mutex.Unlock()
		if fail {
			http.Error(w, "failing as asked", status)
			return
		}
		http.StripPrefix(strings.Join(parts[:5], "/"), next).ServeHTTP(w, r)
	})
}

func logged(lines io.Writer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, byteRange := r.URL.Path, r.Header.Get("Range")
		if byteRange == "" {
			byteRange = "-"
		}
		answer := &measured{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(lines, "%s %s %s %q %q %d %d\n", time.Now().UTC().Format(time.RFC3339Nano),
			client, r.Method, path, byteRange, answer.status, answer.bytes)
	})
}

// measured notes the status and the length of an answer.
type measured struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (m *measured) WriteHeader(status int) {
	m.status = status
	m.ResponseWriter.WriteHeader(status)
}

func (m *measured) Write(body []byte) (int, error) {
	n, err := m.ResponseWriter.Write(body)
	m.bytes += int64(n)
	return n, err
}
