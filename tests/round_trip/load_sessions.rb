# frozen_string_literal: true

# Loads sessions as fastlane does, one from each line of standard input, and prints each as one
# line of JSON: the cookies that the http-cookie gem read, or the error that it raised.

require 'http-cookie'
require 'json'
require 'tempfile'

FIELDS = %i[name value domain for_domain path secure httponly max_age].freeze

# Like load_session_from_env in fastlane's spaceship/client.rb: replaces literal \n by newlines,
# writes a file, and loads the file as a cookie jar.
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
