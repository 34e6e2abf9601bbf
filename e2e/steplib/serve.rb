# Serves a folder over https on loopback, with a certificate of a CA made on the spot, until its
# standard input ends: ruby serve.rb FOLDER STATE
#
#   STATE/ca.pem    the CA
#   STATE/origin    https://localhost:PORT, once it listens
#   STATE/requests  what was asked for, a line each

require 'openssl'
require 'socket'

folder, state = ARGV

def certificate(subject, key, issuer, issuer_key, extensions)
  OpenSSL::X509::Certificate.new.tap do |cert|
    cert.version = 2
    cert.serial = OpenSSL::BN.rand(64)
    cert.subject = OpenSSL::X509::Name.new([['CN', subject]])
    cert.issuer = issuer ? issuer.subject : cert.subject
    cert.public_key = key
    cert.not_before = Time.now - 3600
    cert.not_after = Time.now + 86_400
    factory = OpenSSL::X509::ExtensionFactory.new(issuer || cert, cert)
    extensions.each { |name, value, critical| cert.add_extension(factory.create_extension(name, value, critical)) }
    cert.sign(issuer_key, 'SHA256')
  end
end

ca_key = OpenSSL::PKey::EC.generate('prime256v1')
ca = certificate('Test CA', ca_key, nil, ca_key,
                 [['basicConstraints', 'CA:TRUE', true], ['keyUsage', 'keyCertSign', true]])
key = OpenSSL::PKey::EC.generate('prime256v1')
cert = certificate('localhost', key, ca, ca_key,
                   [['subjectAltName', 'DNS:localhost,IP:127.0.0.1', false], ['extendedKeyUsage', 'serverAuth', false]])

context = OpenSSL::SSL::SSLContext.new
context.cert = cert
context.key = key
server = TCPServer.new('127.0.0.1', 0)
File.write(File.join(state, 'ca.pem'), ca.to_pem)
File.write(File.join(state, 'requests'), '')
File.write(File.join(state, 'origin.new'), "https://localhost:#{server.addr[1]}")
File.rename(File.join(state, 'origin.new'), File.join(state, 'origin'))

Thread.new do
  loop do
    Thread.new(server.accept) do |tcp|
      connection = OpenSSL::SSL::SSLSocket.new(tcp, context)
      connection.sync_close = true
      connection.accept
      path = connection.gets.to_s[/\AGET (\S+) /, 1].to_s
      nil until connection.gets.to_s.strip.empty?
      File.open(File.join(state, 'requests'), 'a') { |file| file.puts(path) }
      file = File.join(folder, path)
      status, body = File.file?(file) && !path.include?('..') ? ['200 OK', File.binread(file)] : ['404 Not Found', '']
      connection.write("HTTP/1.1 #{status}\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n", body)
      connection.close
    rescue SystemCallError, OpenSSL::SSL::SSLError
      # The client is gone, or does not trust the CA.
      tcp.close
    end
  end
end

$stdin.read
