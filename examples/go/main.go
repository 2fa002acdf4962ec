// A small service on a MaculaOS node, with the official NATS client for Go.
//
// It asks the node for a setting, serves the procedure sensor-go.read, and follows changes of the configuration.
// Run it beside a node: go run . (NATS_URL, default nats://127.0.0.1:4222; MACULA_REALM, default io.macula).
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

var realm = setting("MACULA_REALM", "io.macula")

// call asks a procedure of the node; an error answer carries the header Nats-Service-Error.
func call(client *nats.Conn, procedure string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	message, err := client.Request("macula.rpc."+realm+"."+procedure, body, 5*time.Second)
	if err != nil {
		return err
	}
	if text := message.Header.Get(micro.ErrorHeader); text != "" {
		return errors.New(text)
	}
	return json.Unmarshal(message.Data, answer)
}

func run() error {
	client, err := nats.Connect(setting("NATS_URL", nats.DefaultURL), nats.Name("go-sensor"))
	if err != nil {
		return err
	}
	defer client.Drain()

	var value struct {
		JSON string `json:"json"`
	}
	if err := call(client, "config.get", map[string]string{"path": "hostname"}, &value); err != nil {
		return err
	}
	var hostname string
	if err := json.Unmarshal([]byte(value.JSON), &hostname); err != nil {
		return err
	}
	fmt.Println("node", hostname)

	if _, err := client.Subscribe("macula.sub."+realm+".config.changed", func(message *nats.Msg) {
		var event struct {
			Changed    []string `json:"changed"`
			Generation uint64   `json:"generation"`
		}
		if json.Unmarshal(message.Data, &event) == nil {
			fmt.Println("changed", strings.Join(event.Changed, " "), "generation", event.Generation)
		}
	}); err != nil {
		return err
	}

	service, err := micro.AddService(client, micro.Config{Name: "sensor-go", Version: "1.0.0", Description: "A thermometer in Go"})
	if err != nil {
		return err
	}
	defer service.Stop()
	read := micro.HandlerFunc(func(request micro.Request) {
		_ = request.RespondJSON(map[string]any{"celsius": 21.5, "node": hostname})
	})
	if err := service.AddEndpoint("read", read, micro.WithEndpointSubject("macula.rpc."+realm+".sensor-go.read")); err != nil {
		return err
	}
	if err := client.Flush(); err != nil {
		return err
	}
	fmt.Println("serving")

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	return nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
