internal import CNGHTTP2
internal import RPCWire

/// nghttp2's session of one connection, and its callbacks, each of which is a method of the dialect. What knows nghttp2 is
/// here and in `GRPCDialect+Frames`.
internal enum HTTP2Session {
  static let goodbyePing: [UInt8] = Array("goodbye.".utf8)
  static let keepalivePing: [UInt8] = Array("areyouok".utf8)

  /// The options and callbacks of all sessions: made once, only read afterwards.
  private struct Shared: @unchecked Sendable {
    let callbacks: OpaquePointer
    let options: OpaquePointer
  }

  private static let shared: Shared = {
    var callbacks: OpaquePointer?
    var options: OpaquePointer?
    guard nghttp2_session_callbacks_new(&callbacks) == 0, nghttp2_option_new(&options) == 0, let callbacks,
      let options
    else { preconditionFailure("out of memory") }
    install(callbacks)
    // What counts is told apart by our own budget, which the same figures bound.
    nghttp2_option_set_stream_reset_rate_limit(
      options, UInt64(GRPCLimits.idleFramesBurst), UInt64(GRPCLimits.idleFramesPerSecond))
    // Frames of unknown kinds are passed over, but nghttp2 tells of them only where somebody takes them: they count too.
    for kind in firstUnknownKind...UInt8.max { nghttp2_option_set_user_recv_extension_type(options, kind) }
    nghttp2_option_set_no_closed_streams(options, 1)
    nghttp2_option_set_max_send_header_block_length(options, 64 * 1024)
    return Shared(callbacks: callbacks, options: options)
  }()

  /// What RFC 9113 defines ends with CONTINUATION, 9.
  private static let firstUnknownKind: UInt8 = 10

  static func make() -> OpaquePointer {
    var session: OpaquePointer?
    guard nghttp2_session_server_new2(&session, shared.callbacks, nil, shared.options) == 0, let session
    else {
      preconditionFailure("out of memory")
    }
    return session
  }

  /// Has the callbacks of a session reach its dialect, which outlives it.
  static func adopt(_ session: OpaquePointer, _ dialect: GRPCDialect) {
    nghttp2_session_set_user_data(session, Unmanaged.passUnretained(dialect).toOpaque())
  }

  /// Clients wait for it before they send.
  static func sendSettings(_ session: OpaquePointer) {
    func entry(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
      nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(value))
    }
    let entries = [
      entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GRPCLimits.streamsMax),
      entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPCLimits.streamWindow),
      entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPCLimits.headerBytesMax),
    ]
    nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), entries, entries.count)
    nghttp2_session_set_local_window_size(
      session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Int32(GRPCLimits.connectionWindow))
  }

  static func ping(_ session: OpaquePointer, _ data: [UInt8]) {
    nghttp2_submit_ping(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), data)
  }

  static func goAway(_ session: OpaquePointer, _ code: nghttp2_error_code, _ reason: String) {
    let text = Array(reason.utf8.prefix(1024))
    nghttp2_submit_goaway(
      session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nghttp2_session_get_last_proc_stream_id(session),
      code.rawValue, text, text.count)
  }

  static func reset(_ session: OpaquePointer, _ stream: Int32, _ code: nghttp2_error_code) {
    nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, code.rawValue)
  }

  /// Gives the next piece of a stream's body to nghttp2.
  static let giveBody: nghttp2_data_source_read_callback = { _, _, _, limit, flags, source, user in
    guard let pointer = source?.pointee.ptr, let flags, let user else { return -1 }
    return Unmanaged<GRPCStream>.fromOpaque(pointer)._withUnsafeGuaranteedRef { stream in
      Unmanaged<GRPCDialect>.fromOpaque(user)._withUnsafeGuaranteedRef { dialect in
        dialect.give(stream, limit, &flags.pointee)
      }
    }
  }

  /// Sends header fields: a reply, whose body follows where one is given, or what comes behind a body.
  static func submit(
    _ session: OpaquePointer, _ stream: Int32, _ fields: [(name: String, value: String)],
    isTrailer: Bool = false, body: GRPCStream? = nil
  ) {
    // All names and values in one piece of memory, which nghttp2 copies.
    var text: [UInt8] = []
    for field in fields {
      text.append(contentsOf: field.name.utf8)
      text.append(contentsOf: field.value.utf8)
    }
    text.withUnsafeMutableBufferPointer { text in
      var offset = 0
      func next(_ count: Int) -> UnsafeMutablePointer<UInt8>? {
        defer { offset += count }
        return text.baseAddress.map { $0 + offset }
      }
      var values: [nghttp2_nv] = []
      for field in fields {
        let name = next(field.name.utf8.count)
        let value = next(field.value.utf8.count)
        values.append(
          nghttp2_nv(
            name: name, value: value, namelen: field.name.utf8.count, valuelen: field.value.utf8.count,
            flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
      }
      if isTrailer {
        nghttp2_submit_trailer(session, stream, values, values.count)
      } else if let body {
        var provider = nghttp2_data_provider(
          source: nghttp2_data_source(ptr: Unmanaged.passUnretained(body).toOpaque()), read_callback: giveBody
        )
        nghttp2_submit_response(session, stream, values, values.count, &provider)
      } else {
        nghttp2_submit_response(session, stream, values, values.count, nil)
      }
    }
  }

  // MARK: Callbacks

  private static func dialect(_ pointer: UnsafeMutableRawPointer?) -> Unmanaged<GRPCDialect> {
    guard let pointer else { preconditionFailure("a session has its dialect from the start") }
    return Unmanaged<GRPCDialect>.fromOpaque(pointer)
  }

  private static func install(_ callbacks: OpaquePointer) {
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) { _, head, user in
      guard let head else { return 0 }
      return HTTP2Session.dialect(user)._withUnsafeGuaranteedRef { $0.began(frame: head.pointee) }
    }
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks) { _, _, _, _ in
      NGHTTP2_ERR_CANCEL.rawValue
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
      guard let frame else { return 0 }
      return HTTP2Session.dialect(user)._withUnsafeGuaranteedRef { $0.began(headers: frame.pointee) }
    }
    nghttp2_session_callbacks_set_on_header_callback(callbacks) {
      _, _, name, nameCount, value, valueCount, _, user in
      let name = UnsafeBufferPointer(start: name, count: nameCount)
      let value = UnsafeBufferPointer(start: value, count: valueCount)
      return HTTP2Session.dialect(user)._withUnsafeGuaranteedRef { $0.received(field: name, value) }
    }
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
      guard let frame else { return 0 }
      return HTTP2Session.dialect(user)._withUnsafeGuaranteedRef { $0.received(frame: frame.pointee) }
    }
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, stream, data, count, user in
      let bytes = UnsafeRawBufferPointer(start: data, count: count)
      return HTTP2Session.dialect(user)._withUnsafeGuaranteedRef { $0.received(data: bytes, on: stream) }
    }
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, stream, _, user in
      HTTP2Session.dialect(user)._withUnsafeGuaranteedRef { dialect in
        if let stream = dialect.stream(stream) { dialect.closed(stream) }
      }
      return 0
    }
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
      guard let frame else { return 0 }
      return HTTP2Session.dialect(user)._withUnsafeGuaranteedRef { $0.sent(frame: frame.pointee) }
    }
    nghttp2_session_callbacks_set_send_data_callback(callbacks) { _, frame, head, count, source, user in
      guard let frame, let head, let pointer = source?.pointee.ptr else { return -1 }
      let stream = Unmanaged<GRPCStream>.fromOpaque(pointer)
      _ = frame
      HTTP2Session.dialect(user)._withUnsafeGuaranteedRef { dialect in
        stream._withUnsafeGuaranteedRef { dialect.sendData($0, head, count) }
      }
      return 0
    }
  }
}
