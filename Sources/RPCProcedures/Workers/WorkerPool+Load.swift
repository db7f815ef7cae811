extension WorkerPool {
  package var load: RuntimeLoad {
    RuntimeLoad(running: workers.count - idle.count, queued: queue.count, workers: workers.count)
  }
}
