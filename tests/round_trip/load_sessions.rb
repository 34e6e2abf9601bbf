# frozen_string_literal: true

# Loads sessions as fastlane does, one in each line of standard input, and prints each as one
# line of JSON: what the http-cookie gem made of it, or the error that it raised.

require 'http-cookie'
require 'json'
require 'tempfile'

FIELDS = %i[name value domain for_domain path secure httponly max_age].freeze

# spaceship/client.rb, load_session_from_env: literal \n becomes a newline, the text a file,
# the file a jar.
def load(session)
  Tempfile.create('session') do |file|
    file.write(session.gsub('\\n', "\n"))
    file.close
    jar = HTTP::CookieJar.new
    jar.load(file.path)
    jar.to_a.map { |cookie| FIELDS.to_h { |field| [field, cookie.public_send(field)] } }
  end
end

$stdin.each_line(chomp: true) do |session|
  puts JSON.generate(load(session))
rescue StandardError, SyntaxError => e
  puts JSON.generate("#{e.class}: #{e.message}")
end
