# Compares what a later step sees with the input `expect` (described in step.yml).
#
# Ends with status 1 when anything differs, and leaves what it expected and what it found
# in a file for ../judge.rb, which looks at the log of the whole run. Problems never quote
# a secret.

require 'http-cookie'
require 'json'
require 'jwt'
require 'openssl'
require 'tempfile'
require 'yaml'

MANIFEST = JSON.parse(File.read(File.join(ENV.fetch('E2E_ROOT'), 'manifest.json')))

# What the contract lists as outputs. A value of nil is an output that is absent.

ALWAYS = {
  'APPLE_AUTH_METHOD' => ->(c, _) { c['kind'] },
  'APPLE_AUTH_SOURCE' => ->(_, run) { run.source }
}.freeze

API_KEY = {
  'APPLE_API_KEY_PATH' => ->(_, run) { run.key_path },
  'APPLE_API_KEY_URL' => ->(_, run) { "file://#{run.key_path}" },
  'APPLE_API_KEY_ID' => ->(c, _) { c['key_id'] },
  'APPLE_API_ISSUER' => ->(c, _) { c['issuer_id'] },
  'APPLE_API_KEY_ENTERPRISE' => ->(c, _) { c['enterprise'] ? 'yes' : 'no' },
  'API_PRIVATE_KEYS_DIR' => ->(_, run) { run.folder },
  'APP_STORE_CONNECT_API_KEY_PATH' => ->(_, run) { run.json_path },
  'APP_STORE_CONNECT_API_KEY_KEY_ID' => ->(c, _) { c['key_id'] },
  'APP_STORE_CONNECT_API_KEY_ISSUER_ID' => ->(c, _) { c['issuer_id'] },
  'APP_STORE_CONNECT_API_KEY_KEY_FILEPATH' => ->(_, run) { run.key_path },
  'APP_STORE_CONNECT_API_KEY_IN_HOUSE' => ->(c, _) { c['enterprise'].to_s },
  'PRECHECK_INCLUDE_IN_APP_PURCHASES' => ->(_, _) { 'false' }
}.freeze

APPLE_ID = {
  'FASTLANE_USER' => ->(c, _) { c['user'] },
  'FASTLANE_PASSWORD' => ->(c, _) { c['password'] },
  # Any text here: check_session loads it.
  'FASTLANE_SESSION' => ->(c, run) { run.actual('FASTLANE_SESSION') || '' if c['session'] },
  'FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD' => ->(c, _) { c['app_password'] },
  'SPACESHIP_SKIP_2FA_UPGRADE' => ->(_, _) { '1' },
  'SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER' => ->(_, _) {},
  'APPLE_SESSION_EXPIRES_AT' => ->(c, _) { c['expires_at'] }
}.freeze

SECRET = %w[FASTLANE_PASSWORD FASTLANE_SESSION FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD].freeze

OUTPUTS = [ALWAYS, API_KEY, APPLE_ID].reduce(:merge).freeze

# What is in the environment without the Step: the machine's, the CLI's, the project's
# variables and secrets, and this step's own.
NOT_OUTPUTS = /\A(?:PATH|HOME|TMPDIR|PWD|OLDPWD|SHLVL|_|LANG|CI|PR|GEM_PATH|expect
                 |E2E_.*|BITRISE.*|ENVMAN_.*|STEPLIB_BUILD_STATUS|TEAM_.*)\z/x.freeze

KEYS = %w[credential source outputs prefix folders error log not_in_log requests].freeze

# One run of the Step, as it is expected and as it is found.
class Run
  attr_reader :expected, :credential, :problems

  def initialize(expected)
    @expected = expected
    @problems = (expected.keys - KEYS).map { |key| "`expect` has the unknown key #{key}" }
    name = expected['credential']
    @credential = name == 'none' ? { 'kind' => 'none' } : MANIFEST.fetch('credentials').fetch(name) if name
  end

  def source
    @expected.fetch('source')
  end

  def prefix
    @expected.fetch('prefix', '')
  end

  def actual(name)
    ENV.fetch(prefix + name, nil)
  end

  def api_key?
    @credential && @credential['kind'] == 'api_key'
  end

  # The folder has a random name, so where it is comes from one output, and from
  # there on everything is exact.
  def folder
    File.dirname(actual('APPLE_API_KEY_PATH').to_s)
  end

  def key_path
    File.join(folder, "AuthKey_#{@credential['key_id']}.p8")
  end

  # Named as the Step likes, but a JSON file in the same folder.
  def json_path
    path = actual('APP_STORE_CONNECT_API_KEY_PATH').to_s
    File.dirname(path) == folder && path.end_with?('.json') ? path : File.join(folder, '<name>.json')
  end

  # The names and values that a later step must see.
  def outputs
    return {} unless @credential

    table = { 'api_key' => API_KEY, 'apple_id' => APPLE_ID, 'none' => {} }.fetch(@credential['kind'])
    values = ALWAYS.merge(table).transform_values { |value| value.call(@credential, self) }
    values.merge(@expected.fetch('outputs', {}).transform_values { |value| resolve(value) }).compact
  end

  def check
    check_outputs
    check_secrecy
    check_files if api_key? && @problems.empty?
    check_session if outputs['FASTLANE_SESSION'] && actual('FASTLANE_SESSION')
  end

  def problem(text)
    @problems << text
  end

  private

  def resolve(value)
    value.is_a?(String) && value.start_with?('$') ? ENV.fetch(value[1..]) : value
  end

  def check_outputs
    (OUTPUTS.keys | outputs.keys).each do |name|
      wanted = outputs[name]
      found = actual(name)
      next if found == wanted

      if found.nil? then problem("#{prefix}#{name} is absent")
      elsif wanted.nil? then problem("#{prefix}#{name} is set")
      elsif SECRET.include?(name) then problem("#{prefix}#{name} is another secret")
      else problem("#{prefix}#{name} is #{found.inspect}, not #{wanted.inspect}")
      end
    end
  end

  # The CLI tells each step which of its variables are secret.
  def check_secrecy
    secret = ENV.fetch('BITRISE_SECRET_ENV_KEY_LIST').split(',')
    outputs.each_key do |name|
      wanted = SECRET.include?(name)
      next if secret.include?(prefix + name) == wanted

      problem("#{prefix}#{name} is #{wanted ? 'not ' : ''}marked as sensitive")
    end
  end

  def check_files
    temporary = File.realpath(ENV.fetch('TMPDIR'))
    unless File.realpath(folder) == File.join(temporary, File.basename(folder)) &&
           File.basename(folder).start_with?('apple-services-connection-')
      problem("#{folder} is not a folder of the Step's under #{temporary}")
    end
    check_mode(folder, 0o40700)
    Dir.children(folder).each { |name| check_mode(File.join(folder, name), 0o100600) }
    check_key
    check_json
  end

  def check_mode(path, wanted)
    stat = File.lstat(path)
    problem(format('%<path>s has the mode %<mode>o, not %<wanted>o', path: path, mode: stat.mode, wanted: wanted)) if stat.mode != wanted
    problem("#{path} belongs to someone else") unless stat.owned?
  end

  def check_key
    pem = File.read(key_path)
    problem("#{key_path} is not the key's canonical PEM") if pem != @credential['pem']
    check_signature(key_path, pem)
  end

  # As fastlane signs: Spaceship::ConnectAPI::Token.
  def check_signature(path, pem)
    claims = { 'iss' => @credential['issuer_id'], 'exp' => Time.now.to_i + 500, 'aud' => 'appstoreconnect-v1' }
    token = JWT.encode(claims, OpenSSL::PKey::EC.new(pem), 'ES256', { kid: @credential['key_id'], typ: 'JWT' })
    public_key = OpenSSL::PKey::EC.new(@credential['public_pem'])
    problem("a token signed with #{path} is another one") if JWT.decode(token, public_key, true, algorithm: 'ES256')[0] != claims
  rescue OpenSSL::PKey::PKeyError, JWT::DecodeError => e
    problem("#{path} cannot sign for this key: #{e.class}")
  end

  # As fastlane reads it: Spaceship::ConnectAPI::Token.from_json_file.
  def check_json
    json = JSON.parse(File.read(json_path), { symbolize_names: true })
    key = json.delete(:key)
    problem("the key in #{json_path} is not its canonical PEM") if key != @credential['pem']
    check_signature(json_path, key.to_s)
    duration = json.delete(:duration)
    problem("#{json_path} has a duration of #{duration}") unless duration.nil? || (1..1200).cover?(duration)
    wanted = { key_id: @credential['key_id'], issuer_id: @credential['issuer_id'], in_house: @credential['enterprise'] }
    problem("#{json_path} has #{json} and a key, not #{wanted} and a key") if json != wanted
  rescue JSON::ParserError
    problem("#{json_path} is not JSON")
  end

  # As fastlane loads it: Spaceship::Client#load_session_from_env.
  def check_session
    jar = HTTP::CookieJar.new
    Tempfile.create('cookie.yml') do |file|
      file.write(actual('FASTLANE_SESSION').gsub('\\n', "\n"))
      file.close
      jar.load(file.path)
    end
    compare_cookies(jar.map { |cookie| properties(cookie) }, @credential['session'])
  rescue ArgumentError, TypeError, Psych::Exception => e
    problem("#{prefix}FASTLANE_SESSION does not load: #{e.class}")
  end

  def properties(cookie)
    { 'name' => cookie.name, 'value' => cookie.value, 'domain' => cookie.domain, 'for_domain' => cookie.for_domain?,
      'path' => cookie.path, 'secure' => cookie.secure?, 'httponly' => cookie.httponly? }
  end

  def compare_cookies(found, wanted)
    found = found.to_h { |cookie| [cookie['name'], cookie] }
    wanted = wanted.to_h { |cookie| [cookie['name'], cookie] }
    (found.keys | wanted.keys).sort.each do |name|
      if !found.key?(name) then problem("the session lacks the cookie #{name}")
      elsif !wanted.key?(name) then problem("the session has a cookie #{name}")
      else
        different = wanted[name].reject { |property, value| found[name][property] == value }.keys
        problem("the session's cookie #{name} differs in #{different.join(', ')}") if different.any?
      end
    end
  end
end

# YAML in which only `null` is not a string.
def load_strings(node)
  case node
  when Psych::Nodes::Document then load_strings(node.root)
  when Psych::Nodes::Mapping then node.children.each_slice(2).to_h { |key, value| [load_strings(key), load_strings(value)] }
  when Psych::Nodes::Sequence then node.children.map { |child| load_strings(child) }
  when Psych::Nodes::Scalar then node.value unless node.value == 'null' && !node.quoted
  else raise ArgumentError, "`expect` holds a #{node.class}"
  end
end

# What is true of all runs of the Step together.
def check_leftovers(runs)
  known = runs.flat_map { |run| (OUTPUTS.keys | run.outputs.keys).map { |name| run.prefix + name } }
  surplus = ENV.keys.grep_v(NOT_OUTPUTS) - known
  wanted = runs.sum { |run| run.expected.fetch('folders', run.api_key? ? 1 : 0).to_i }
  found = Dir.glob(File.join(ENV.fetch('TMPDIR'), '{,.}apple-services-connection-*')).length
  [
    *surplus.map { |name| "#{name} is set, which nobody expects" },
    *("there are #{found} folders of the Step's, not #{wanted}" if found != wanted)
  ]
end

def check_error(expected)
  message = ENV.fetch('BITRISE_FAILED_STEP_ERROR_MESSAGE', nil)
  return ["a step failed: #{message}"] if message && !expected
  return [] unless expected
  return ['no step failed'] unless message

  [
    *Array(expected).reject { |regex| message.match?(/#{regex}/i) }.map { |regex| "the CLI's error does not say /#{regex}/: #{message}" },
    *("the CLI's error is not one line: #{message.inspect}" if message.match?(/[\n\r\e]/)),
    *("the CLI cuts an error of #{message.bytesize} bytes" if message.bytesize >= 1024)
  ]
end

runs = []
begin
  runs = [load_strings(YAML.parse(ENV.fetch('expect')))].flatten.map { |expected| Run.new(expected) }
  runs.each(&:check)
  errors = runs.map { |run| run.expected['error'] }.compact
  problems = runs.flat_map(&:problems) + check_leftovers(runs) + check_error(errors.first)
rescue StandardError => e
  problems = ["the assertion itself failed: #{e.class} at #{e.backtrace.first}"]
end

# The log is what a careless later step would print. judge.rb reads it.
printed = runs.flat_map { |run| run.outputs.keys.map { |name| [run.prefix + name, SECRET.include?(name)] } }
              .select { |name, _| ENV.key?(name) }
printed.each { |name, _| puts "<<<#{name}", ENV.fetch(name), ">>>#{name}" }

results = ENV.fetch('E2E_RESULTS')
result = {
  expected: runs.map(&:expected), error: ENV.fetch('BITRISE_FAILED_STEP_ERROR_MESSAGE', nil), problems: problems,
  printed: printed.to_h { |name, secret| [name, { secret: secret, value: ENV.fetch(name) }] }
}
File.write(File.join(results, "#{Dir.children(results).length}.json"), JSON.generate(result))

problems.each { |text| puts "\e[31;1m#{text}\e[0m" }
exit 1 if problems.any?
