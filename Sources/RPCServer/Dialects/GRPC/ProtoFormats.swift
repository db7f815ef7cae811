internal import HTTPTypes
internal import RPCProcedures
internal import RPCProto
internal import RPCTransport
internal import RPCWire

/// A unary format whose bodies are protobuf, so that a path names a method as gRPC does: overloads have names of their own.
internal protocol ProtoFormat: UnaryFormat {}

extension ProtoFormat {
  /// Reads a message as arguments.
  static func resolve(
    message: RawSpan, _ overloads: [BoundProcedure], in catalogue: Catalogue
  ) throws(RPCError) -> ResolvedCall {
    let procedure = overloads[0]
    let (request, _) = ProtoSignature.messages(of: procedure.procedure, named: "")
    var arguments = ByteQueue()
    var scratch = ProtoMessage.Scratch()
    do throws(ProtoError) {
      try request.decode(message, into: &arguments, &scratch)
    } catch {
      throw catalogue.invalidArguments(
        "\(procedure.signature.qualifiedName): \(error.description)", overloads)
    }
    return ResolvedCall(procedure: procedure, arguments: arguments.copy())
  }

  /// Appends values as a message; returns why they cannot be.
  static func append(
    values: [UInt8], of procedure: BoundProcedure, limit: Int, to output: inout ByteQueue
  ) -> RPCError? {
    guard values.count <= limit else {
      return RPCError(
        .resourceExhausted, "the result is larger than the limit of \(limit) bytes", executed: .yes,
        actual: values.count, limit: limit, unit: .bytes)
    }
    let (_, response) = ProtoSignature.messages(of: procedure.procedure, named: "")
    let start = output.count
    do throws(ProtoError) {
      try response.encode(values.span.bytes, to: &output)
      return nil
    } catch {
      output.truncate(to: start)
      return RPCError(
        .executionException, "the result cannot be written as protobuf: \(error)", executed: .yes)
    }
  }
}

/// Connect's unary protocol with a message of protobuf as its body; errors are JSON, as Connect has them.
internal enum ConnectProto: ProtoFormat {
  static func takes(_ type: ContentType) -> Bool { type.mediaType == "application/proto" }

  static func resolve(
    _ body: RawSpan, fromConnect: Bool, _ overloads: [BoundProcedure], in catalogue: Catalogue
  ) throws(RPCError) -> ResolvedCall {
    try resolve(message: body, overloads, in: catalogue)
  }

  static func append(
    _ outcome: CallOutcome, of procedure: BoundProcedure?, type: ContentType?, limit: Int,
    to output: inout ByteQueue
  ) -> AnswerHead {
    var failure: RPCError?
    switch outcome {
    case .failure(let error): failure = error
    case .success(let values):
      guard let procedure else { preconditionFailure("values are a procedure's") }
      failure = append(values: values, of: procedure, limit: limit, to: &output)
    }
    guard let failure else { return AnswerHead(.ok, "application/proto") }
    return ConnectJSON.append(failure, failure.httpStatus, failure.httpCode, to: &output)
  }
}

/// gRPC-Web over HTTP/1.1: messages with a prefix, and the trailers in a frame behind them.
internal enum GRPCWebFormat: ProtoFormat {
  static let isGRPCWeb = true

  static func takes(_ type: ContentType) -> Bool {
    type.mediaType == "application/grpc-web" || type.mediaType == "application/grpc-web+proto"
  }

  static func resolve(
    _ body: RawSpan, fromConnect: Bool, _ overloads: [BoundProcedure], in catalogue: Catalogue
  ) throws(RPCError) -> ResolvedCall {
    let prefix = GRPCDialect.prefixBytes
    guard body.byteCount >= prefix, unsafe body.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == 0,
      unsafe UInt32(bigEndian: body.unsafeLoadUnaligned(fromByteOffset: 1, as: UInt32.self))
        == body.byteCount - prefix
    else {
      throw RPCError(.protocolError, "the body is not one message of gRPC-Web, as it is")
    }
    return try resolve(message: body.extracting(prefix..<body.byteCount), overloads, in: catalogue)
  }

  static func append(
    _ outcome: CallOutcome, of procedure: BoundProcedure?, type: ContentType?, limit: Int,
    to output: inout ByteQueue
  ) -> AnswerHead {
    var status = GRPCStatus.ok
    switch outcome {
    case .failure(let error): status = GRPCStatus(error)
    case .success(let values):
      guard let procedure else { preconditionFailure("values are a procedure's") }
      let start = output.count
      output.append(0 as UInt8)
      output.append(bigEndian: 0 as UInt32)
      if let error = append(values: values, of: procedure, limit: limit, to: &output) {
        output.truncate(to: start)
        status = GRPCStatus(error)
      } else {
        output.patch(
          littleEndian: UInt32(output.count - start - GRPCDialect.prefixBytes).byteSwapped, at: start + 1)
      }
    }
    GRPCDialect.appendWebTrailers(status, to: &output)
    return AnswerHead(.ok, "application/grpc-web+proto")
  }
}

/// gRPC-Web as text, for what cannot read bytes.
internal enum GRPCWebTextFormat: ProtoFormat {
  static let isGRPCWeb = true

  static func takes(_ type: ContentType) -> Bool {
    type.mediaType == "application/grpc-web-text" || type.mediaType == "application/grpc-web-text+proto"
  }

  static func resolve(
    _ body: RawSpan, fromConnect: Bool, _ overloads: [BoundProcedure], in catalogue: Catalogue
  ) throws(RPCError) -> ResolvedCall {
    guard let bytes = GRPCWebText.decode(body.withUnsafeBytes { Array($0) }) else {
      throw RPCError(.protocolError, "the body is not base64")
    }
    return try GRPCWebFormat.resolve(bytes.span.bytes, fromConnect: fromConnect, overloads, in: catalogue)
  }

  static func append(
    _ outcome: CallOutcome, of procedure: BoundProcedure?, type: ContentType?, limit: Int,
    to output: inout ByteQueue
  ) -> AnswerHead {
    var bytes = ByteQueue()
    _ = GRPCWebFormat.append(outcome, of: procedure, type: type, limit: limit, to: &bytes)
    output.append(Base64.encode(bytes.copy()))
    return AnswerHead(.ok, "application/grpc-web-text+proto")
  }
}
